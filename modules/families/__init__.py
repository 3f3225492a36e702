"""Level 2, kinds of models: how to know one by its tensors' names and shapes, build it from a file, save it."""
