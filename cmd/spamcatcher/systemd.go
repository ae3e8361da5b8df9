package main

import (
	"net"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// inherited are the listening sockets that systemd opened for the program
// (sd_listen_fds(3)), none when it was started otherwise. They take the place
// of the addresses in the configuration.
func inherited() ([]net.Listener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	var all []net.Listener
	for _, l := range listeners {
		if l != nil { // another kind of socket
			all = append(all, l)
		}
	}
	return all, nil
}

// States of the program, as sd_notify(3) has them.
const (
	stateReady    = daemon.SdNotifyReady
	stateStopping = daemon.SdNotifyStopping
)

// notify tells systemd the program's state. Without systemd it does nothing.
func notify(state string) {
	// Nobody is listening, or nobody can be told: both are no concern of the mail.
	_, _ = daemon.SdNotify(false, state)
}
