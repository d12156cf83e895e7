//! The ledger's file against cuts, flips and foreign volumes.
