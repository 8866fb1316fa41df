Feature: Negative controls
  Systems that are known to be bad. A control passes only if exactly its check fails, with evidence: a harness
  that lets these pass would let anything pass.

  # The agent's lease runs out while it is frozen, a standby takes over, and nobody stops the old primary: on the
  # documented configuration (no watchdog) two nodes accept writes until the agent is thawed.
  @documented @control:single_writer @claim:NO-SPLIT-BRAIN
  Scenario: The agent of the primary freezes and PostgreSQL lives
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the Patroni agent on the primary freezes
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes

  @quick @quarterly @control:single_writer
  Scenario: The agent of the primary freezes on a fast lease
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    When the Patroni agent on the primary freezes
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes

  # Nothing speaks TLS here: a plain session gets in, and nodes show that it did.
  @tls @control:encryption
  Scenario: Whoever comes without TLS gets in where nothing speaks it
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    When connections that must fail are tried
    And 3 s to 4 s have passed
    Then every session with PostgreSQL is encrypted
    And connections that must fail do
