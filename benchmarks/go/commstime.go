// CommsTime in Go: the far mark of the table. Prints microseconds per communication.
package main

import (
	"fmt"
	"time"
)

const (
	warmUp = 1_000
	rounds = 500_000
)

func prefix(out chan<- int, in <-chan int) {
	for number := 0; ; number = <-in {
		out <- number
	}
}

func delta(in <-chan int, first, second chan<- int) {
	for number := range in {
		first <- number
		second <- number
	}
}

func successor(in <-chan int, out chan<- int) {
	for number := range in {
		out <- number + 1
	}
}

func main() {
	a, b, c, d := make(chan int), make(chan int), make(chan int), make(chan int)
	go prefix(a, b)
	go delta(a, c, d)
	go successor(c, b)
	for i := 0; i < warmUp; i++ {
		<-d
	}
	began := time.Now()
	for i := 0; i < rounds; i++ {
		<-d
	}
	fmt.Println(float64(time.Since(began).Nanoseconds()) / 1e3 / rounds / 4)
}
