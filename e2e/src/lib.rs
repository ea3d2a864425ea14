//! Tests of the shipped binaries, from outside: partners, processes, official SDKs.
//!
//! Table of contents, in the order in which a test meets them:
//! [`partner`] scripted providers, whose arrival log is the truth of every test;
//! [`fixture`] both together; [`manifest`] the objects that a user would write; [`local`] `chaperone local` on them;
//! [`process`] spawn, stop and kill by pid; [`client`] and [`raw`] well-formed and ill-formed requests;
//! [`sdk`] the official SDKs; [`checker`] what must hold after every test; [`wait`], [`certs`], [`clock`],
//! [`settings`] small means. Nothing here links the product: it is only run.

pub mod certs;
pub mod checker;
pub mod client;
pub mod clock;
pub mod fixture;
pub mod local;
pub mod manifest;
pub mod partner;
pub mod process;
pub mod raw;
pub mod sdk;
pub mod settings;
pub mod wait;
