# Prepared transactions that changed a tracked table and outlive the cache:
# after a restart nobody remembers that they wrote, and still no answer may
# be stale once they are committed.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $node = new_node('prepared');	# in the mode of CACHEKIT_MODE
my $q = 'SELECT id, v FROM t ORDER BY id';
my $sum = 'SELECT sum(v) AS s FROM t JOIN u USING (id)';

$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, v int);
	CREATE TABLE u (id int PRIMARY KEY);
	INSERT INTO t VALUES (1, 10), (2, 20), (3, 30);
	INSERT INTO u VALUES (1), (2), (3);
	SELECT cache_track('t'), cache_track('u');
});

# rows(V1, V2, V3)
sub rows
{
	my @v = @_;

	return '[' . join(', ', map { "{\"v\": $v[$_-1], \"id\": $_}" } 1 .. 3) . ']';
}

# prepare(ID, VALUE): a transaction p<ID> that sets the value
sub prepare
{
	my ($id, $v) = @_;

	$node->safe_psql('postgres',
		"BEGIN; UPDATE t SET v = $v WHERE id = $id; PREPARE TRANSACTION 'p$id'");
	return;
}

# left_over(STOP-MODE, V1, V2, V3): p1 (to be 11) and p2 (to be 21) are
# prepared, the server goes down and up; p1 is committed, p2 rolled back.
sub left_over
{
	my ($how, @v) = @_;
	my $new = $v[0] + 1;

	answer_is($node, $q, rows(@v), "$how: before") for 1 .. 2;
	prepare(1, $new);
	prepare(2, $v[1] + 1);
	answer_is($node, $q, rows(@v), "$how: prepared");
	$node->stop($how);
	$node->start;

	answer_is($node, $q, rows(@v), "$how: first read");
	take_xid($node);
	answer_is($node, $_, undef, "$how: filled") for $q, $sum;
	is_hit($node, $node, $q, rows(@v), "$how: prepared, after the restart");

	my $old = $node->background_psql('postgres', on_error_stop => 1);
	$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	answer_is($old, $q, rows(@v), "$how: old snapshot");

	$node->safe_psql('postgres', q{COMMIT PREPARED 'p1'});
	answer_is($node, $q, rows($new, @v[ 1, 2 ]), "$how: committed");
	answer_is($node, $sum, undef, "$how: committed, join");
	answer_is($old, $q, rows(@v), "$how: the old snapshot does not see it");
	answer_is($old, $sum, undef, "$how: old snapshot, join");
	answer_is($node, $q, rows($new, @v[ 1, 2 ]), "$how: committed, again");

	my $between = $node->background_psql('postgres', on_error_stop => 1);
	$between->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	answer_is($between, $q, rows($new, @v[ 1, 2 ]), "$how: second snapshot");
	$node->safe_psql('postgres', q{ROLLBACK PREPARED 'p2'});
	answer_is($node, $q, rows($new, @v[ 1, 2 ]), "$how: rolled back");
	answer_is($between, $q, rows($new, @v[ 1, 2 ]), "$how: second snapshot, later");
	answer_is($old, $q, rows(@v), "$how: old snapshot, later");
	$_->query_safe('COMMIT') && $_->quit for $old, $between;

	take_xid($node);
	answer_is($node, $q, undef, "$how: filled again");
	is_hit($node, $node, $q, rows($new, @v[ 1, 2 ]), "$how: at the end");
	sound($node, $how);
	return ($new, @v[ 1, 2 ]);
}

my @v = (10, 20, 30);
@v = left_over('fast', @v);
@v = left_over('immediate', @v);

# The memory of the second mode is made by the first who uses it, which may be
# while a prepared transaction is there; and one may be committed before
# anybody reads at all.
prepare(3, 99);
$node->restart;
$node->safe_psql('postgres', q{COMMIT PREPARED 'p3'});
$v[2] = 99;
answer_is($node, $q, rows(@v), 'committed before the first read') for 1 .. 2;

# Written while the cache is up, committed by another session.
answer_is($node, $q, rows(@v), 'before');
prepare(3, 100);
answer_is($node, $q, rows(@v), 'prepared');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p3'});
$v[2] = 100;
answer_is($node, $q, rows(@v), 'committed') for 1 .. 2;

# More of them than the birth record can name.
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 160');
$node->restart;
$node->safe_psql('postgres', 'INSERT INTO t SELECT g, 0 FROM generate_series(1001, 1150) g');
$node->safe_psql('postgres',
	join '', map { "BEGIN; UPDATE t SET v = 1 WHERE id = $_;"
	  . "PREPARE TRANSACTION 'many$_';" } 1001 .. 1150);
$node->restart;
answer_is($node, $sum, undef, 'many prepared transactions');
take_xid($node);
answer_is($node, 'SELECT sum(v) AS s FROM t', undef, 'many, before') for 1 .. 3;
for my $i (1001 .. 1150)
{
	$node->safe_psql('postgres', "COMMIT PREPARED 'many$i'");
	next if $i % 25;
	answer_is($node, 'SELECT sum(v) AS s FROM t', undef, "many, up to $i") for 1 .. 2;
}
take_xid($node);
answer_is($node, 'SELECT sum(v) AS s FROM t', undef, 'many, all gone');
is_hit($node, $node, 'SELECT sum(v) AS s FROM t', undef, 'many, at the end');

$node->stop;
done_testing();
