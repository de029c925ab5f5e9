"""What `folder` is made of: its layout, its files, its table of attributes."""
