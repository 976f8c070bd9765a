# Transaction ids cross 2^32: cells keep 64-bit ids, while snapshots and the
# commit log have 32 bits.  A small storm rages across the boundary, with old
# snapshots and prepared transactions that span it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

# An ANALYZE of autovacuum that runs when the server has just started would be
# a transaction that the first entries do not see.
my $node = new_node('wrap',
	"log_statement = none\ncachekit.max_entry_size = '1MB'\nautovacuum = off\n");
my $q = 'SELECT id, balance FROM acct_a WHERE id >= 190 ORDER BY id';	# see CACHEKIT_MODE

$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION cachekit; '
	  . slurp_file('test/torture/setup.sql'));
$node->safe_psql('postgres',
	q{UPDATE pg_database SET datallowconn = true WHERE datname = 'template0'});

# advance(XID): the next transaction will have that id.  Less than 2^31 at a
# time, all rows frozen before.
sub advance
{
	my ($xid) = @_;
	my $segment = sprintf('%s/pg_xact/%04X', $node->data_dir, $xid >> 20);

	for my $database (qw(postgres template1 template0))
	{
		$node->safe_psql($database, 'VACUUM FREEZE');
	}
	$node->safe_psql('postgres', 'CHECKPOINT');
	$node->stop;
	command_ok([ 'pg_resetwal', '-f', '-x', $xid, $node->data_dir ], "to $xid");
	open(my $file, '>', $segment) or die "$segment: $!";
	print $file "\0" x (32 * 8192);
	close($file);
	$node->start;
	is($node->safe_psql('postgres', 'SELECT txid_current()'), $xid, "at $xid");
}

sub xid { return $node->safe_psql('postgres', 'SELECT txid_current()'); }

my $boundary = 2**32;
advance(2_000_000_000);
answer_is($node, $q, undef, 'half way') for 1 .. 2;
$node->safe_psql('postgres', 'UPDATE acct_a SET balance = balance + 1 WHERE id = 191');
answer_is($node, $q, undef, 'half way, written') for 1 .. 2;
is_hit($node, $node, $q, undef, 'half way');
advance(4_000_000_000);
advance($boundary - 1500);
answer_is($node, $q, undef, 'shortly before') for 1 .. 2;
is_hit($node, $node, $q, undef, 'shortly before');

# What spans the boundary: a snapshot, a transaction that has written, a
# prepared one.
my $old = $node->background_psql('postgres', on_error_stop => 1);
my $writer = $node->background_psql('postgres', on_error_stop => 1);
$writer->query_safe('BEGIN; UPDATE acct_a SET balance = 7 WHERE id = 192');
$node->safe_psql('postgres',
	q{BEGIN; UPDATE acct_a SET balance = 8 WHERE id = 193; PREPARE TRANSACTION 'spans'});
take_xid($node);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $frozen = $old->query_safe("SELECT cached_query_json(\$\$$q\$\$)");

my @storm = map { ('-f', "test/torture/$_") }
  qw(r_rc.sql r_rr.sql w_move.sql w_savepoint.sql w_prepare.sql w_part.sql w_subxact.sql);
my $before = xid();
cmp_ok($before, '<', $boundary, 'still before');
my $hits = counters($node)->{hits};
my $rounds = 0;
do
{
	command_checks_all(
		[
			'pgbench', '-n', '--max-tries=10', '-c', 12, '-j', 2, '-T', 4, @storm,
			'-h', $node->host, '-p', $node->port, 'postgres'
		],
		0, [qr/actually processed/], [qr/^(?!.*aborted)/s], 'storm');
} while (xid() < $boundary + 500 && $rounds++ < 30);
cmp_ok(xid(), '>', $boundary, 'the boundary is crossed');
cmp_ok(counters($node)->{hits}, '>', $hits + 1000, 'the cache answered');

# Nothing of what spans it is seen yet; then it is.
my $now = 'SELECT id, balance FROM acct_a WHERE id IN (192, 193) ORDER BY id';
answer_is($node, $now, undef, 'both open') for 1 .. 2;
is($old->query_safe("SELECT cached_query_json(\$\$$q\$\$)"), $frozen, 'the old snapshot');
answer_is($old, $q, $frozen, 'the old snapshot, directly');
$writer->query_safe('COMMIT');
answer_is($node, $now, undef, 'one committed') for 1 .. 2;
$node->safe_psql('postgres', q{COMMIT PREPARED 'spans'});
answer_is($node, $now, '[{"id": 192, "balance": 7}, {"id": 193, "balance": 8}]', 'both committed')
  for 1 .. 2;
answer_is($old, $q, $frozen, 'the old snapshot, later');
answer_is($old, $now, undef, 'the old snapshot, another query');
$old->query_safe('COMMIT');
$_->quit for $old, $writer;
take_xid($node);
answer_is($node, $now, undef, 'after all');
is_hit($node, $node, $now, undef, 'after all');

command_checks_all(
	[
		'pgbench', '-n', '--max-tries=10', '-c', 12, '-j', 2, '-T', 3, @storm,
		'-h', $node->host, '-p', $node->port, 'postgres'
	],
	0, [qr/actually processed/], [qr/^(?!.*aborted)/s], 'storm, in the next epoch');
unlike(slurp_file($node->logfile), qr/MISMATCH|TRAP:|PANIC/, 'no wrong answer');
sound($node, 'in the next epoch');

$node->stop;
done_testing();
