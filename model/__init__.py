"""Training: from a PyTorch network to an integer network. The only package of the project that imports torch.

One run is a straight line (`model.run.train`): data, float network, DoReFa teacher, integer student, export.
Each step is a plain function from one value to the next; docs/training.md tells the method and its decisions.
"""
