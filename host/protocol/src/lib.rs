//! jackfield-protocol
