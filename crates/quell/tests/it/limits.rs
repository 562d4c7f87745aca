//! Limits: size, number, names, and what they cost.
