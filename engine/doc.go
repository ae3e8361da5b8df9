// Package engine turns a mail into a verdict: it runs the checks of a plan,
// prices what they found, and adds it up to a probability of spam.
//
// It knows nothing of SMTP, DNS, disks or configuration files, and its only
// clock is the context it is given.
package engine
