"""Run checks over cases: one plan, in this process or in isolated worker processes."""
