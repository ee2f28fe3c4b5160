"""Right and wrong answers to the exercises of each chapter."""
