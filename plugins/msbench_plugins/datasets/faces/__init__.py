"""Drawn faces with attributes that can be seen: hair and skin to segment, six questions to answer."""
