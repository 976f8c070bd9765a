# The smallest memory and far more results than fit: everything is answered,
# and right, while entries are evicted, refused as too large, and written by
# many sessions at once.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $node = new_node('pressure');	# in the mode of CACHEKIT_MODE

$node->append_conf('postgresql.conf', q{
cachekit.memory = '1MB'
cachekit.max_entry_size = '64kB'
log_statement = none
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, v int, pad text);
	INSERT INTO t SELECT g, 0, repeat(md5(g::text), 1 + g % 20) FROM generate_series(1, 2000) g;
	SELECT cache_track('t');

	-- compare(N): rows up to about N * 400 bytes, as JSON and as rows
	CREATE FUNCTION compare(n int, first int) RETURNS boolean LANGUAGE plpgsql AS $$
	DECLARE
		ok boolean;
	BEGIN
		SELECT cached_query_json('SELECT * FROM t WHERE id >= $1 ORDER BY id LIMIT $2',
								 ARRAY[first, n]::text[]) =
			(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]')
			 FROM (SELECT * FROM t WHERE id >= first ORDER BY id LIMIT n) q)
		AND ARRAY(SELECT q::text FROM cached_query(NULL::t, 'SELECT * FROM t WHERE id >= $1 ORDER BY id LIMIT $2',
											 ARRAY[first, n]::text[]) q) =
			ARRAY(SELECT q::text FROM (SELECT * FROM t WHERE id >= first ORDER BY id LIMIT n) q)
			INTO ok;
		IF NOT ok THEN
			RAISE WARNING 'wrong answer for %, %', n, first;
		END IF;
		RETURN ok;
	END $$;
});

# One session: small results, middle ones, too large ones.
for my $size (1, 20, 100, 1000)
{
	is($node->safe_psql('postgres',
			"SELECT bool_and(compare($size, g)) FROM generate_series(1, 1000, 3) g"),
		't', "results of $size rows");
	sound($node, "$size rows");
}
my $count = counters($node);
cmp_ok($count->{evictions}, '>', 100, 'entries were evicted');
cmp_ok($count->{oversize}, '>', 100, 'results were too large');
cmp_ok($count->{bytes_used}, '<=', $count->{bytes_total}, 'within the limit');
cmp_ok($count->{bytes_total}, '<=', 1024 * 1024, 'which is what was asked for');

# What is asked for again and again stays, whatever passes by.
$node->safe_psql('postgres',
	'SELECT compare(2, 7) FROM generate_series(1, 50)');
is($node->safe_psql('postgres',
		'SELECT bool_and(compare(2, 7) AND compare(3, g)) FROM generate_series(1, 900) g'),
	't', 'a popular result among a scan');
cmp_ok($node->safe_psql('postgres',
		q{SELECT max(hits) FROM cachekit_entries WHERE kind = 'query'}),
	'>', 200, 'it stayed');

# A value that is too large for key/value, too.
is($node->safe_psql('postgres', q{SELECT cache_set('big', repeat('x', 100000))}), 'f', 'too large a value');
is($node->safe_psql('postgres', q{SELECT count(*) FROM generate_series(1, 5000) g
		WHERE cache_set('k' || g, repeat('x', g % 3000)) AND cache_get('k' || g) IS NOT NULL
		AND cache_get('k' || g) <> repeat('x', g % 3000)}), 0, 'no wrong value');
sound($node, 'key/value');

# Many sessions, with writes and with the end of transactions in all ways.
my $read = $node->basedir . '/read.sql';
append_to_file($read, q{
\set n random_exponential(1, 300, 5)
\set first random_exponential(1, 2000, 3)
SELECT compare(:n, :first);
SELECT cache_set('k' || :first, repeat('y', :n * 10));
SELECT cache_get('k' || :n);
});
my $write = $node->basedir . '/write.sql';
append_to_file($write, q{
\set id random(1, 2000)
\set n random(1, 100)
BEGIN;
UPDATE t SET v = v + 1 WHERE id = :id;
SELECT compare(:n, :id);
SELECT cache_set('k' || :id, 'w');
\if :n < 30
ROLLBACK;
\else
COMMIT;
\endif
SELECT compare(:n, :id);
\sleep 30 ms
});
my $at = -s $node->logfile;
command_checks_all(
	[
		'pgbench', '-n', '-c', 10, '-j', 2, '-T', 6, '-f', "$read\@9", '-f', "$write\@2",
		'-h', $node->host, '-p', $node->port, 'postgres'
	],
	0, [qr/actually processed/], [qr/^(?!.*(?:ERROR|WARNING))/s], 'under load');
unlike(substr(slurp_file($node->logfile), $at), qr/wrong answer|ERROR:/, 'without a wrong answer');
sound($node, 'under load');
cmp_ok(counters($node)->{bytes_used}, '<=', counters($node)->{bytes_total}, 'within the limit');
is($node->safe_psql('postgres', 'SELECT cache_flush() >= 0, cache_clear() >= 0'), 't|t', 'emptied');
sound($node, 'empty');
is(counters($node)->{entries}, 0, 'nothing is left');

$node->stop;
done_testing();
