"""What happens to pictures on their way: compression, resizing, blur, noise."""
