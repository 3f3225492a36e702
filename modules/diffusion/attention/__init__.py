"""Ways to compute attention: softmax(q kᵀ / √d) v, and how a network of diffusers is made to use one."""
