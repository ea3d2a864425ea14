//! Tests of the shipped binaries, from outside: partners, processes, official SDKs.
//!
//! Table of contents, in the order in which a test meets them:
//! [`partner`] scripted providers, whose arrival log is the truth of every test;
//! [`fixture`] both together; [`manifest`] the objects that a user would write; [`local`] `chaperone local` on them;
//! [`process`] spawn, stop and kill by pid; [`client`], [`raw`] and [`http2`] well-formed and ill-formed requests;
//! [`name_server`] names whose addresses change; [`network`] packets that are dropped; [`netns`] two networks with a
//! cable between; [`tier`] which tests may run; [`tools`] the programs of a cluster; [`control_plane`] a real API server;
//! [`cluster`] it, or the user's own, as a test sees it; [`kubelet`] runs its Pods as processes, [`relay`] stands for
//! their Services, [`jwt`] forges their tokens, [`platform`] has operators and sidecars there, [`release`] the Helm
//! chart, [`previous`] the one before it, [`later`] what one after it may send, [`traffic`] what neither may disturb,
//! [`examples`] is what users apply to it; [`operator`] is played for one sidecar alone, and thousands of sidecars are
//! [`simulated`]; [`fleet`] has thousands of Pods that never start, [`node`] is a real one; [`sdk`] the official SDKs;
//! [`checker`] what must hold after every test; [`wait`], [`usage`], [`certs`], [`clock`], [`settings`]
//! small means. Of the product, only the definitions of its kinds are linked; the rest is only run.

pub mod certs;
pub mod checker;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod control_plane;
pub mod examples;
pub mod feed;
pub mod fixture;
pub mod fleet;
pub mod http2;
pub mod jwt;
pub mod kubelet;
pub mod later;
pub mod local;
pub mod manifest;
pub mod name_server;
pub mod netns;
pub mod network;
pub mod node;
pub mod operator;
pub mod partner;
pub mod platform;
pub mod previous;
pub mod process;
pub mod raw;
pub mod relay;
pub mod release;
pub mod sdk;
pub mod settings;
pub mod simulated;
pub mod tier;
pub mod tools;
pub mod traffic;
pub mod usage;
pub mod wait;
