package archive

import (
	"context"
	"database/sql/driver"

	"modernc.org/sqlite"
)

// connector opens connections of one database.
type connector struct{ name string }

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	return (&sqlite.Driver{}).Open(c.name)
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return &sqlite.Driver{} }
