# Perl Mojolicious.
use strict;
use warnings;
use Mojo::IOLoop;
use Mojo::Server::Daemon;
use Mojolicious::Lite;

use constant LARGEST => 64 * 1024 * 1024;

websocket '/*any' => {any => ''} => sub {
    my $c = shift;
    $c->inactivity_timeout(120);
    my $tx = $c->tx;
    $tx->with_compression;
    $tx->max_websocket_size(LARGEST);
    $c->rendered(101);
    $tx->on(text => sub { my ($tx, $bytes) = @_; $tx->send({text => $bytes}) });
    $tx->on(binary => sub { my ($tx, $bytes) = @_; $tx->send({binary => $bytes}) });
};

app->log->level('fatal');
my $daemon = Mojo::Server::Daemon->new(app => app, listen => ['http://127.0.0.1'], silent => 1);
$daemon->start;
$| = 1;
print 'listening on ws://127.0.0.1:', $daemon->ports->[0], "\n";
Mojo::IOLoop->start;
