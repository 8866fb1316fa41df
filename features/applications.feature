@clients
Feature: Applications with timeouts of their own
  An outage of new connections is not what an application has that holds its sessions: it finds out that its server is gone by its
  own timeouts, by what TCP does for it, or because somebody closes its sessions. libpq sets none of these by default.

  # Nothing but HAProxy ends their wait: it closes the sessions of a server that it has found down.
  @quick
  Scenario: The primary's host dies under an application without timeouts
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    And the application "patient" with 4 clients writing 5 rows per second each
    And the application "web" with 4 clients writing 5 rows per second each
      | connect_timeout   | 2    |
      | answer_timeout_ms | 2000 |
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then every client of the application "patient" writes again
    And every client of the application "web" writes again
    And no client of the application "web" waits longer than 30 s for a write
    And no acknowledged write is lost
    And never do two nodes accept writes

  # An application that knows the nodes themselves, as libpq does with several hosts. Nobody closes its sessions with a machine that is
  # gone, and TCP goes on sending for a quarter of an hour, less and less often. Where the machine comes back, it refuses what it does not
  # know any more, and only then they write again.
  @control:applications
  Scenario: The primary's host dies, and an application without timeouts knows the nodes
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    And the application "patient" with 4 clients writing 5 rows per second each
      | endpoint | nodes |
    When the host of the primary dies
    And clients can write again
    And 30 s to 31 s have passed
    Then no client of the application "patient" waits longer than 40 s for a write

  # The kernel asks a silent peer only while nothing that was sent waits for an acknowledgement. A statement does.
  @control:applications
  Scenario: The primary's host dies, and an application has TCP keepalive alone
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    And the application "keepalive" with 4 clients writing 5 rows per second each
      | endpoint            | nodes |
      | connect_timeout     | 2     |
      | keepalives_idle     | 3     |
      | keepalives_interval | 1     |
      | keepalives_count    | 3     |
    When the host of the primary dies
    And clients can write again
    And 30 s to 31 s have passed
    Then no client of the application "keepalive" waits longer than 40 s for a write

  # A timeout of the server's ends what a server does that lives. One that is gone ends nothing.
  @control:applications
  Scenario: The primary's host dies, and an application has the server's statement timeout alone
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    And the application "server-side" with 4 clients writing 5 rows per second each
      | endpoint          | nodes |
      | connect_timeout   | 2     |
      | statement_timeout | 2000  |
    When the host of the primary dies
    And clients can write again
    And 30 s to 31 s have passed
    Then no client of the application "server-side" waits longer than 40 s for a write

  Scenario: The primary's host dies, and an application has a timeout for what was sent
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    And the application "user-timeout" with 4 clients writing 5 rows per second each
      | endpoint         | nodes |
      | connect_timeout  | 2     |
      | tcp_user_timeout | 5000  |
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then every client of the application "user-timeout" writes again
    And no client of the application "user-timeout" waits longer than 40 s for a write
    And no acknowledged write is lost
    And never do two nodes accept writes

  # A pooler keeps its clients when their node becomes a standby, and this HAProxy closes none of their sessions. The load looks only
  # whether a session is open, and writes to a standby for ever: the pool's check fails. Who gives up a session that is read-only
  # (SQLSTATE 25006) is led to the new primary.
  @control:pool
  Scenario: An operator switches over, and an application gives up its sessions with a standby
    Given the topology "pooled-sessions-kept"
    And 4 clients writing 25 rows per second each
    And the application "leaves" with 4 clients writing 5 rows per second each
      | answer_timeout_ms | 5000 |
    When an operator switches over
    And clients can write again
    And every node has rejoined
    And 15 s to 16 s have passed
    Then pooled clients write again by themselves
    And every client of the application "leaves" writes again

  Scenario: An operator switches over under transactions that stay open
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    And the application "slow" with 8 clients writing 1 rows per second each
      | transaction_idle_ms | 2000 |
      | answer_timeout_ms   | 5000 |
      | connect_timeout     | 2    |
    When an operator switches over
    And clients can write again
    And every node has rejoined
    Then every client of the application "slow" writes again
    And no client of the application "slow" waits longer than 30 s for a write
    And no acknowledged write is lost
    And never do two nodes accept writes

  # All sessions break in one instant, and all come back in the next. Each costs the new primary a process.
  Scenario: A switchover makes an application's clients come back all at once
    Given the topology "single-region-fast"
    And the PostgreSQL parameter "max_connections" is "300"
    And 4 clients writing 25 rows per second each
    And the application "storm" with 100 clients writing 1 rows per second each
      | answer_timeout_ms | 5000 |
      | connect_timeout   | 2    |
    When an operator switches over
    And clients can write again
    And every node has rejoined
    Then every client of the application "storm" writes again
    And no client of the application "storm" waits longer than 30 s for a write
    And clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes
