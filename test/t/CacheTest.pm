# CacheTest.pm
#   What the TAP tests share: a server in the memory mode that CACHEKIT_MODE
#   names, and the comparison of a cached answer with the direct one.

package CacheTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node new_publication compared answer_is counters is_hit wait_blocked
  sound take_xid);

# new_node(NAME, MORE-SETTINGS, INIT-OPTIONS...): not started.
sub new_node
{
	my ($name, $conf, %init) = @_;
	my $mode = $ENV{CACHEKIT_MODE} // 'preload';
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%init);
	$node->append_conf('postgresql.conf', slurp_file("test/$mode.conf"));
	$node->append_conf('postgresql.conf', "autovacuum = off\n" . ($conf // ''));
	return $node;
}

# new_publication(SETTINGS-OF-THE-PUBLISHER, AND-OF-THE-SUBSCRIBER): both, started;
# the latter in the memory mode.
sub new_publication
{
	my ($publishing, $subscribing) = @_;
	my $from = PostgreSQL::Test::Cluster->new('publisher');
	my $to = new_node('subscriber', $subscribing);

	$from->init(allows_streaming => 'logical');
	$from->append_conf('postgresql.conf', $publishing // '');
	$_->start for $from, $to;
	return ($from, $to);
}

# One statement, hence one snapshot: "cached|direct".
sub compared
{
	my ($query) = @_;

	return "SELECT cached_query_json(\$q\$$query\$q\$), "
	  . "(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM ($query) q)";
}

# run(NODE-OR-SESSION, SQL)
sub run
{
	my ($where, $sql) = @_;

	return $where->isa('PostgreSQL::Test::Cluster')
	  ? $where->safe_psql('postgres', $sql)
	  : $where->query_safe($sql);
}

# answer_is(NODE-OR-SESSION, QUERY, EXPECTED-JSON, LABEL): both answers; undef
# expects only that they are equal.
sub answer_is
{
	my ($where, $query, $expected, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($cached, $direct) = split /\|/, run($where, compared($query)), 2;

	$expected //= $direct;
	return is("$cached|$direct", "$expected|$expected", $label);
}

# hits, misses, bypasses, fills, ... of the database
sub counters
{
	my ($node) = @_;
	my @names = qw(hits misses bypasses fills entries evictions oversize
	  no_room lease_waits bytes_used bytes_total);
	my %result;

	@result{@names} = split /\|/,
	  $node->safe_psql('postgres',
		'SELECT ' . join(', ', @names) . ' FROM cachekit_stats');
	return \%result;
}

# Is this answered from the cache?
sub is_hit
{
	my ($node, $where, $query, $expected, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = counters($node)->{hits};

	answer_is($where, $query, $expected, $label);
	return is(counters($node)->{hits}, $before + 1, "$label: from the cache");
}

# Until so many sessions wait for an advisory lock (debug points and leases).
sub wait_blocked
{
	my ($node, $number) = @_;

	return $node->poll_query_until('postgres',
		"SELECT count(*) >= $number FROM pg_locks "
		  . "WHERE locktype = 'advisory' AND NOT granted");
}

# Consume a transaction id: snapshots after this are newer than any before.
sub take_xid
{
	my ($node) = @_;

	$node->safe_psql('postgres', 'SELECT txid_current()');
	return;
}

# The shared structures are as they should be, and nobody complained.
sub sound
{
	my ($node, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->safe_psql('postgres', 'SELECT * FROM cache_check()'),
		'', "$label: nothing wrong in the shared structures");
	return;
}

1;
