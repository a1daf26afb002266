"""What turns arguments into checked arrays and numbers, for all families: it knows none of them."""
