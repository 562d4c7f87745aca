//! A storm of identical copies, and other mail beside it.
