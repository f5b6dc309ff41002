//! jackfield-sdk
