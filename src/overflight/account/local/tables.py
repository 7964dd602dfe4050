"""The tables of ``state.db``: resources, counters, trail, events, sessions and the index of the S3 objects.

Knows columns only. Times are ISO 8601 text in UTC with six decimals, so that text order is time order; documents are
JSON text.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, String, Table, Text, UniqueConstraint, text

SCHEMA_VERSION = 2
APPLICATION_ID = 0x4F564654  # "OVFT", in the header of the file

# What takes a state file from the version before to this one, done in one transaction when the account is opened.
MIGRATIONS = {
    2: (
        "ALTER TABLE trail ADD COLUMN details TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE trail ADD COLUMN event_id VARCHAR NOT NULL DEFAULT ''",
    ),
}

metadata = MetaData()

resources = Table(
    "resources",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("parent", String, nullable=False),
    Column("status", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", String, nullable=False),
    Column("modified_at", String, nullable=False),
    Column("revision", Integer, nullable=False),
    UniqueConstraint("kind", "name"),
    Index("resources_by_parent", "kind", "parent", "created_at"),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Integer, nullable=False),
)

# AUTOINCREMENT keeps the highest number ever given in sqlite_sequence: rows cut from the end of the trail are missed.
trail = Table(
    "trail",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("time", String, nullable=False),
    Column("caller", String, nullable=False),
    Column("service", String, nullable=False),
    Column("operation", String, nullable=False),
    Column("read_only", Boolean, nullable=False),
    Column("request_id", String, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("error", String, nullable=False),
    Column("message", String, nullable=False),
    Column("prev_hash", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("details", Text, nullable=False, server_default=""),
    Column("event_id", String, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("event_id", String, nullable=False),
    Column("time", String, nullable=False),
    Column("bus", String, nullable=False),
    Column("source", String, nullable=False),
    Column("detail_type", String, nullable=False),
    Column("resources", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("events_by_source", "source", "detail_type"),
    sqlite_autoincrement=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("access_key_id", String, primary_key=True),
    Column("secret_sha256", String, nullable=False),
    Column("role", String, nullable=False),
    Column("user", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("expires_at", String, nullable=False),
)

buckets = Table(
    "buckets",
    metadata,
    Column("name", String, primary_key=True),
    Column("region", String, nullable=False),
    Column("versioning", String, nullable=False),  # "", "Enabled" or "Suspended"
    Column("created_at", String, nullable=False),
)

objects = Table(
    "objects",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("bucket", String, nullable=False),
    Column("key", String, nullable=False),
    Column("version_id", String, nullable=False),
    Column("etag", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("content_type", String, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("last_modified", String, nullable=False),
    Column("is_latest", Boolean, nullable=False),
    Column("delete_marker", Boolean, nullable=False),
    UniqueConstraint("bucket", "key", "version_id"),
    Index("objects_latest", "bucket", "key", unique=True, sqlite_where=text("is_latest")),
    Index("objects_by_digest", "sha256"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", String, primary_key=True),
    Column("bucket", String, nullable=False),
    Column("key", String, nullable=False),
    Column("content_type", String, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("created_at", String, nullable=False),
)

parts = Table(
    "parts",
    metadata,
    Column("upload_id", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("etag", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("last_modified", String, nullable=False),
)
