"""Publishing: records that others can check, brought together from several machines, and pages made from them."""
