package broker

import (
	"bytes"
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

const (
	leafDays  = 820 // validity of a node's certificate: clients refuse more than 825 days
	leafRenew = 30  // days before its end from which a new one is made
)

// Certs are the certificates of the TLS listeners: those of Config.Certificate, or made by this node. The CA's key follows from the
// cluster's secret and id, so that all nodes have the same CA without sending it. The node's own certificate is made at the
// first TLS connection.
type Certs struct {
	mu      sync.Mutex // guards what follows
	own     *tls.Certificate
	dir     string
	host    string
	secret  []byte
	cluster string
	key     *ecdsa.PrivateKey
	ca      *x509.Certificate // nil until it is needed
	leaf    *tls.Certificate  // likewise
}

// set makes the certificates those of a cluster. The file with another cluster's CA is removed.
func (c *Certs) set(cfg Config, cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, host, _ := strings.Cut(cfg.Name, "@")
	changed := c.cluster != "" && c.cluster != cluster
	c.own, c.dir, c.host, c.secret, c.cluster, c.ca, c.leaf = cfg.Certificate, cfg.Dir, host, cfg.Secret, cluster, nil, nil
	if changed && cfg.Dir != "" {
		os.Remove(filepath.Join(cfg.Dir, CAFile)) // WriteCA writes the new one
	}
}

func (c *Certs) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.own != nil {
				return c.own, nil
			}
			if err := c.makeLeafLocked(); err != nil {
				return nil, err
			}
			return c.leaf, nil
		},
	}
}

// linkConfig is for links between nodes, both sides of them: whoever has a certificate of the cluster's CA is a node of it.
func (c *Certs) linkConfig() *tls.Config {
	leaf := func() (*tls.Certificate, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.makeLeafLocked(); err != nil {
			return nil, err
		}
		return c.leaf, nil
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return leaf() },
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return leaf() },
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // by name; VerifyConnection verifies by CA, and the link's own handshake the node
		VerifyConnection:       c.verifyNode,
	}
}

// verifyNode checks that the other side of a link has a certificate of the cluster's CA.
func (c *Certs) verifyNode(s tls.ConnectionState) error {
	c.mu.Lock()
	err := c.makeCALocked()
	ca := c.ca
	c.mu.Unlock()
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err = s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// CA returns the cluster's CA certificate as PEM. All nodes of a cluster have the same one.
func (c *Certs) CA() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.makeCALocked(); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ca.Raw}), nil
}

// WriteCA puts the cluster's CA into ca.pem in Config.Dir unless there is such a file: of another cluster it was removed. With
// Config.Certificate there is no such CA.
func (c *Certs) WriteCA() error {
	c.mu.Lock()
	dir, own := c.dir, c.own
	c.mu.Unlock()
	path := filepath.Join(dir, CAFile)
	if dir == "" || own != nil {
		return nil
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	var written []byte
	for {
		ca, err := c.CA()
		if err == nil && bytes.Equal(ca, written) {
			return nil
		}
		if err == nil {
			err = writeFile(path, ca)
		}
		if err != nil {
			return fmt.Errorf("write the cluster's CA: %w", err)
		}
		written = ca // the node may have joined another cluster meanwhile
	}
}

// makeCALocked makes the CA's certificate.
func (c *Certs) makeCALocked() error {
	if c.ca != nil {
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
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), always{key})
	if err != nil {
		return fmt.Errorf("make the cluster's CA: %w", err)
	}
	if c.ca, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("make the cluster's CA: %w", err)
	}
	c.key = key
	return nil
}

// makeLeafLocked makes this node's certificate, anew when it will be over soon.
func (c *Certs) makeLeafLocked() error {
	if c.leaf != nil && time.Now().Before(c.leaf.Leaf.NotAfter.AddDate(0, 0, -leafRenew)) {
		return nil
	}
	if err := c.makeCALocked(); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, c.template(), c.ca, key.Public(), c.key)
	if err != nil {
		return fmt.Errorf("make a certificate for %q: %w", c.host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("make a certificate for %q: %w", c.host, err)
	}
	c.leaf = &tls.Certificate{Certificate: [][]byte{der, c.ca.Raw}, PrivateKey: key, Leaf: leaf}
	return nil
}

// template is the certificate of this node, for all names that it may be reached by on its host.
func (c *Certs) template() *x509.Certificate {
	cert := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(random()),
		Subject:      pkix.Name{CommonName: c.host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(0, 0, leafDays),
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
