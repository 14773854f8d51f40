"""placeholder"""
deduction_cases = deduction_bugs = tuple
