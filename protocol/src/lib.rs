//! What operator and sidecar say to each other, and the rules that both obey.
