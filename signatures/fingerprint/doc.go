// Package fingerprint turns a message into digests that name it without
// saying what is in it, asks a network of sites about them, and answers for
// such a network.
package fingerprint
