//! Tests of the shipped binaries, from outside: partners, processes, official SDKs.
