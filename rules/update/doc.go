// Package update turns a channel of signed bundles into the rules, prices,
// signatures and model in force, and keeps what was in force before.
package update
