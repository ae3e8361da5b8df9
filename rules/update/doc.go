// Package update turns a channel of signed bundles into the rules, prices,
// signatures and model in force, and keeps what was in force before.
//
// A channel is a directory that is served by HTTPS. It holds manifest.json, its
// signature manifest.json.minisig (Ed25519, in the format of minisign), and the
// bundle that the manifest names: a tar.gz of rules/*.toml with
// rules/prices.toml, signatures/… and model.bin, any of which may be absent.
//
// What happens when the channel is asked, and why in this order:
//
//  1. The manifest and its signature are read, 64 KiB and 4 KiB at most. An
//     answer 304 ends it here.
//  2. The signature is verified over the bytes of the manifest, before anything
//     in them is looked at.
//  3. The manifest must be of a known format, not expired, not from the future,
//     and its version higher than any that was ever adopted or refused for good.
//     So neither an old bundle nor a bad one comes back.
//  4. The bundle is downloaded, never more than the size that the manifest says,
//     nor at less than a set rate. Its SHA-256 is verified before it is unpacked.
//  5. It is unpacked next to those in force: plain files with plain names only,
//     bounded in number and bytes; all of it is put on stable storage.
//  6. Config.Try compiles it and judges mail by it. What it says against the bundle
//     alone is final: such a bundle is not downloaded again, until the program or
//     the configuration changes. What may be a fault of this place is said again
//     after hours.
//  7. The bundle is renamed to its place, and then the file current.json is
//     replaced. That is the one moment at which it comes into force: whenever the
//     power goes, either the old bundle is in force as a whole, or the new one.
//
// The directory holds
//
//	lock             held by the one process that changes anything here
//	current.json     which version is in force, which were before, the highest ever
//	state.json       the last question: when, what came of it, what was refused
//	versions/7/      manifest.json, its signature, digests.json, files/…
package update
