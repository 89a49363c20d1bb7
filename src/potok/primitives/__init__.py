"""What users call: thin façades over the machines, blocking and awaiting. One way in for each operation."""
