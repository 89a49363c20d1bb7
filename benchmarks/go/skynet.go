// Skynet in Go: a tree of tasks with 100,000 leaves, summed over channels. Prints milliseconds.
package main

import (
	"fmt"
	"os"
	"time"
)

const (
	leaves   = 100_000
	children = 10
)

func node(parent chan<- int, first, size int) {
	if size == 1 {
		parent <- first
		return
	}
	results := make(chan int)
	share := size / children
	for i := 0; i < children; i++ {
		go node(results, first+i*share, share)
	}
	total := 0
	for i := 0; i < children; i++ {
		total += <-results
	}
	parent <- total
}

func main() {
	root := make(chan int)
	began := time.Now()
	go node(root, 0, leaves)
	if total := <-root; total != leaves*(leaves-1)/2 {
		fmt.Fprintln(os.Stderr, "wrong total", total)
		os.Exit(1)
	}
	fmt.Println(float64(time.Since(began).Nanoseconds()) / 1e6)
}
