"""What happens to pictures and their files on their way: compression, resizing, blur, noise."""
