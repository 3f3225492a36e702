"""Level 1, maths on tensors: noise, denoisers, samplers, schedules, guidance. No files, no clock, no globals."""
