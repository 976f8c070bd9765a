-- schema.sql
--   The archive as normalised tables, loaded from :dir (see load.pl).
--   Sizes: installed_size in kB, size (of the package file) in bytes.

CREATE TABLE maintainers (
  id    integer PRIMARY KEY,
  name  text NOT NULL,
  email text
);

CREATE TABLE packages (
  id             integer PRIMARY KEY,
  name           text NOT NULL UNIQUE,
  version        text NOT NULL,
  source         text NOT NULL,
  section        text,
  priority       text,
  architecture   text,
  maintainer_id  integer NOT NULL REFERENCES maintainers,
  installed_size bigint NOT NULL,
  size           bigint NOT NULL,
  homepage       text,
  summary        text
);

-- "a (>= 1) | b, c": clause 1 has the alternatives a and b, clause 2 has c.
-- The target is a name, since it may be virtual, or not in the archive.
CREATE TABLE dependencies (
  package_id  integer NOT NULL REFERENCES packages,
  kind        text NOT NULL,
  clause      integer NOT NULL,
  alternative integer NOT NULL,
  target      text NOT NULL,
  relation    text,
  version     text,
  PRIMARY KEY (package_id, kind, clause, alternative)
);

CREATE TABLE provides (
  package_id integer NOT NULL REFERENCES packages,
  name       text NOT NULL,
  PRIMARY KEY (package_id, name)
);

CREATE TABLE tags (
  package_id integer NOT NULL REFERENCES packages,
  tag        text NOT NULL,
  PRIMARY KEY (package_id, tag)
);

\set file :dir /maintainers.tsv
COPY maintainers FROM :'file';
\set file :dir /packages.tsv
COPY packages FROM :'file';
\set file :dir /dependencies.tsv
COPY dependencies FROM :'file';
\set file :dir /provides.tsv
COPY provides FROM :'file';
\set file :dir /tags.tsv
COPY tags FROM :'file';

CREATE INDEX ON dependencies (target);
CREATE INDEX ON provides (name);
CREATE INDEX ON packages (maintainer_id);
CREATE INDEX ON packages (section);
CREATE INDEX ON tags (tag);
VACUUM ANALYZE;
