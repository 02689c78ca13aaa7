package broker

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// CAFile is the name of the cluster's CA certificate in Config.Dir.
const CAFile = "ca.pem"

// certs makes certificates when they are first needed. The CA's key follows from the cluster's secret and id, so that all nodes have
// the same CA without sending it.
type certs struct {
	mu      sync.Mutex
	dir     string
	host    string
	secret  []byte
	cluster string
	ca      []byte // PEM
	leaf    *tls.Certificate
}

// set makes the certificates those of a cluster. If another cluster's CA was written, it is replaced.
func (c *certs) set(cfg Config, cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, host, _ := strings.Cut(cfg.Name, "@")
	written := c.ca != nil
	c.dir, c.host, c.secret, c.cluster, c.ca, c.leaf = cfg.Dir, host, cfg.Secret, cluster, nil, nil
	if written && cfg.Dir != "" {
		os.Remove(filepath.Join(cfg.Dir, CAFile)) // it comes back at the next use
	}
}

func (c *certs) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if err := c.makeLocked(); err != nil {
				return nil, err
			}
			return c.leaf, nil
		},
	}
}

// CA returns the cluster's CA certificate as PEM, and writes it to ca.pem in Config.Dir. All nodes of a cluster have
// the same one.
func (b *Broker) CA() ([]byte, error) {
	b.certs.mu.Lock()
	defer b.certs.mu.Unlock()
	if err := b.certs.makeLocked(); err != nil {
		return nil, err
	}
	return b.certs.ca, nil
}

// makeLocked makes the CA's certificate and one for this node.
func (c *certs) makeLocked() error {
	if c.leaf != nil {
		return nil
	}
	key, err := caKey(c.secret, c.cluster)
	if err != nil {
		return fmt.Errorf("make the key of the cluster's CA: %w", err)
	}
	id := sha256.Sum256([]byte(c.cluster))
	ca := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(id[:16]),
		Subject:               pkix.Name{CommonName: "onemore cluster " + c.cluster},
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), // fixed, so that all nodes make the same
		NotAfter:              time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), always{key})
	if err != nil {
		return fmt.Errorf("make the cluster's CA: %w", err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, c.template(), ca, leafKey.Public(), key)
	if err != nil {
		return fmt.Errorf("make a certificate for %q: %w", c.host, err)
	}
	pemCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	if c.dir != "" {
		if err := writeFile(filepath.Join(c.dir, CAFile), pemCA); err != nil {
			return fmt.Errorf("write the cluster's CA: %w", err)
		}
	}
	c.ca = pemCA
	c.leaf = &tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: leafKey}
	return nil
}

// template is the certificate of this node, for all names that it may be reached by on its host.
func (c *certs) template() *x509.Certificate {
	cert := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(random()),
		Subject:      pkix.Name{CommonName: c.host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(c.host); ip != nil {
		cert.IPAddresses = append(cert.IPAddresses, ip)
	} else if c.host != "" {
		cert.DNSNames = append(cert.DNSNames, c.host)
	}
	if name, err := os.Hostname(); err == nil {
		cert.DNSNames = append(cert.DNSNames, name)
	}
	return cert
}

// caKey derives the CA's key. One candidate in 2³² is no valid key; then the next one is taken.
func caKey(secret []byte, cluster string) (*ecdsa.PrivateKey, error) {
	for i := range 8 {
		b, err := hkdf.Key(sha256.New, secret, []byte(cluster), fmt.Sprintf("onemore ca %d", i), 32)
		if err != nil {
			return nil, err
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("no key follows from the secret")
}

// always signs the same way each time, so that the CA's certificate is the same on all nodes.
type always struct{ *ecdsa.PrivateKey }

func (a always) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return a.PrivateKey.Sign(nil, digest, opts)
}

// writeFile replaces a file as a whole.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
