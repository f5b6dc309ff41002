//! jackfield-stores
