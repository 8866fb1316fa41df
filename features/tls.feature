Feature: Everything over TLS
  Document 002 has PostgreSQL and etcd speak TLS, has etcd ask for certificates of clients, and has pg_hba refuse the rest.

  @tls @claim:TLS-AUTH @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies where everything speaks TLS
    Given the topology "tls"
    And the Patroni setting "loop_wait" is "3"
    And the Patroni setting "retry_timeout" is "5"
    And the Patroni setting "ttl" is "20"
    And the Patroni setting "synchronous_mode" is "on"
    And 4 clients writing 25 rows per second each
    When connections that must fail are tried
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And every session with PostgreSQL is encrypted
    And connections that must fail do
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

  # XTLS of document 000: the standby leader streams from another region.
  @tls @claim:XTLS @claim:TLS-AUTH @claim:NO-SPLIT-BRAIN
  Scenario: Replication across regions is encrypted, and plain is refused
    Given the topology "two-region-tls"
    And 4 clients writing 25 rows per second each
    When connections that must fail are tried
    And 5 s to 6 s have passed
    Then replication is encrypted
    And every session with PostgreSQL is encrypted
    And connections that must fail do
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Document 002's pg_hba admits replication alone between nodes. pg_rewind is no replication.
  @tls @claim:RECOVER-REWIND @claim:TLS-AUTH @claim:NO-SPLIT-BRAIN
  Scenario Outline: The old primary comes back under document 002's pg_hba
    Given the topology "<topology>"
    And the Patroni setting "loop_wait" is "3"
    And the Patroni setting "retry_timeout" is "5"
    And the Patroni setting "ttl" is "20"
    And 4 clients writing 25 rows per second each
    When connections that must fail are tried
    And the Patroni agent on the primary freezes
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the node that was lost follows the new primary within 60 s
    And connections that must fail do

    Examples:
      | topology       |
      | hba-as-written |
      | hba-corrected  |
