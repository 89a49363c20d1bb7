"""How tasks reach machines in other address spaces: links with their I/O, who serves them, and what stands for them."""
