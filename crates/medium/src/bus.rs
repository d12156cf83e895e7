//! The state of the connection to a host, as both state machines see it.

/// What the device controller says of the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// There is no host: no cable, or nobody at its other end who enumerates devices.
    Detached,
    /// A host is about to learn what is attached.
    Enumerating,
    /// A host uses the device.
    Configured,
    /// The host sleeps.
    Suspended,
}
