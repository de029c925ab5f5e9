"""CelebAMask-HQ: 30,000 photographs of faces, with parts of the face to segment and forty attributes."""
