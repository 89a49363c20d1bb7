"""Links between address spaces: frames on a stream, and the conversation over them. Nothing in here does I/O."""
