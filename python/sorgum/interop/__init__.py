"""What touches other libraries: a module each, and none is imported before its library is wanted."""
