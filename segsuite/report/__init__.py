"""What experiments found, read from run directories alone; imports no torch."""
