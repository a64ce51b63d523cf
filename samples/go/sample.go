//go:build windows

// Makes an adapter, configures it, brings it up and reads its configuration back.  Run it as an elevated administrator with
// wyrm.dll beside it.  Go 1.18 or later, no module but the standard library: go run sample.go
// Names are those of include/wyrm/wireguard.h, whose documentation holds here too.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"
)

const (
	WIREGUARD_KEY_LENGTH                    = 32
	WIREGUARD_ADAPTER_STATE_UP              = 1
	WIREGUARD_INTERFACE_HAS_PRIVATE_KEY     = 1 << 1
	WIREGUARD_INTERFACE_HAS_LISTEN_PORT     = 1 << 2
	WIREGUARD_INTERFACE_REPLACE_PEERS       = 1 << 3
	WIREGUARD_PEER_HAS_PUBLIC_KEY           = 1 << 0
	WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE = 1 << 2
	WIREGUARD_PEER_HAS_ENDPOINT             = 1 << 3
	WIREGUARD_PEER_REPLACE_ALLOWED_IPS      = 1 << 5
	listenPort                              = 51820
	bufferBytes                             = 65536
)

// Go aligns a structure like its widest field, on 32 bits to 4 bytes at most: the padding is written out.
type SOCKADDR_INET struct {
	si_family uint16
	Port      [2]byte // network byte order
	Rest      [6]uint32
}

type WIREGUARD_INTERFACE struct {
	Flags      uint32
	ListenPort uint16
	PrivateKey [32]byte
	PublicKey  [32]byte
	PeersCount uint32
	_          [4]byte
}

type WIREGUARD_PEER struct {
	Flags               uint32
	Reserved            uint32
	PublicKey           [32]byte
	PresharedKey        [32]byte
	PersistentKeepalive uint16
	Endpoint            SOCKADDR_INET
	TxBytes             uint64
	RxBytes             uint64
	LastHandshake       uint64
	AllowedIPsCount     uint32
	_                   [4]byte
}

type WIREGUARD_ALLOWED_IP struct {
	Address       [16]byte
	AddressFamily uint16
	Cidr          uint8
	Flags         uint32
}

// The compiler refuses another size.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(WIREGUARD_INTERFACE{})-80]
	_ = [1]struct{}{}[unsafe.Sizeof(WIREGUARD_PEER{})-136]
	_ = [1]struct{}{}[unsafe.Sizeof(WIREGUARD_ALLOWED_IP{})-24]
)

// The functions of wyrm.dll that this sample uses.
var createAdapter, closeAdapter, setAdapterState, setConfiguration, getConfiguration *syscall.LazyProc

// load takes wyrm.dll from the program's own folder alone.
func load() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	dll := syscall.NewLazyDLL(filepath.Join(filepath.Dir(program), "wyrm.dll"))
	for name, function := range map[string]**syscall.LazyProc{
		"WireGuardCreateAdapter":    &createAdapter,
		"WireGuardCloseAdapter":     &closeAdapter,
		"WireGuardSetAdapterState":  &setAdapterState,
		"WireGuardSetConfiguration": &setConfiguration,
		"WireGuardGetConfiguration": &getConfiguration,
	} {
		*function = dll.NewProc(name)
		if err := (*function).Find(); err != nil {
			return err
		}
	}
	return nil
}

// configuration is an interface with a key of its own and one peer, without gaps.
type configuration struct {
	config  WIREGUARD_INTERFACE
	peer    WIREGUARD_PEER
	allowed WIREGUARD_ALLOWED_IP
}

func (c *configuration) fill() error {
	c.config.Flags = WIREGUARD_INTERFACE_HAS_PRIVATE_KEY | WIREGUARD_INTERFACE_HAS_LISTEN_PORT |
		WIREGUARD_INTERFACE_REPLACE_PEERS
	c.config.ListenPort = listenPort
	c.config.PeersCount = 1
	if _, err := rand.Read(c.config.PrivateKey[:]); err != nil {
		return err
	}
	c.peer.Flags = WIREGUARD_PEER_HAS_PUBLIC_KEY | WIREGUARD_PEER_HAS_ENDPOINT |
		WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE | WIREGUARD_PEER_REPLACE_ALLOWED_IPS
	for i := range c.peer.PublicKey {
		c.peer.PublicKey[i] = 0x42 // the key that the peer's owner told you
	}
	c.peer.PersistentKeepalive = 25
	c.peer.Endpoint.si_family = syscall.AF_INET
	c.peer.Endpoint.Port = [2]byte{listenPort >> 8, listenPort & 0xff}
	copy((*[4]byte)(unsafe.Pointer(&c.peer.Endpoint.Rest[0]))[:], net.IPv4(192, 0, 2, 1).To4())
	c.peer.AllowedIPsCount = 1
	c.allowed.AddressFamily = syscall.AF_INET
	c.allowed.Cidr = 24
	copy(c.allowed.Address[:], net.IPv4(10, 72, 0, 0).To4())
	return nil
}

// take gives the structure at *at of the buffer and goes on behind it; nil: the buffer ends before.
func take[T any](buffer []byte, at *uintptr) *T {
	var structure *T
	end := *at + unsafe.Sizeof(*structure)
	if end > uintptr(len(buffer)) {
		return nil
	}
	structure = (*T)(unsafe.Pointer(&buffer[*at]))
	*at = end
	return structure
}

func show(buffer []byte) error {
	damaged := errors.New("a damaged configuration")
	var at uintptr
	config := take[WIREGUARD_INTERFACE](buffer, &at)
	if config == nil {
		return damaged
	}
	fmt.Printf("port %d, %d peers\n", config.ListenPort, config.PeersCount)
	for i := uint32(0); i < config.PeersCount; i++ {
		peer := take[WIREGUARD_PEER](buffer, &at)
		if peer == nil {
			return damaged
		}
		fmt.Printf("peer %02x...: keepalive %d s, %d bytes sent, %d received\n", peer.PublicKey[0],
			peer.PersistentKeepalive, peer.TxBytes, peer.RxBytes)
		for j := uint32(0); j < peer.AllowedIPsCount; j++ {
			allowed := take[WIREGUARD_ALLOWED_IP](buffer, &at)
			if allowed == nil {
				return damaged
			}
			if allowed.AddressFamily == syscall.AF_INET {
				fmt.Printf("  allowed %v/%d\n", net.IP(allowed.Address[:4]), allowed.Cidr)
			}
		}
	}
	return nil
}

func run() error {
	if err := load(); err != nil {
		return err
	}
	name, err := syscall.UTF16PtrFromString("Sample")
	if err != nil {
		return err
	}
	adapter, _, err := createAdapter.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(name)), 0)
	if adapter == 0 {
		return err
	}
	defer closeAdapter.Call(adapter) // and the adapter is gone

	words := make([]uint64, bufferBytes/8) // aligned to 8 bytes
	config := (*configuration)(unsafe.Pointer(&words[0]))
	if err := config.fill(); err != nil {
		return err
	}
	done, _, err := setConfiguration.Call(adapter, uintptr(unsafe.Pointer(config)), unsafe.Sizeof(*config))
	if done == 0 {
		return err
	}
	if done, _, err = setAdapterState.Call(adapter, WIREGUARD_ADAPTER_STATE_UP); done == 0 {
		return err
	}
	bytes := uint32(bufferBytes)
	done, _, err = getConfiguration.Call(adapter, uintptr(unsafe.Pointer(&words[0])), uintptr(unsafe.Pointer(&bytes)))
	if done == 0 {
		return err // ERROR_MORE_DATA: again with `bytes` bytes
	}
	return show((*[bufferBytes]byte)(unsafe.Pointer(&words[0]))[:bytes])
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
