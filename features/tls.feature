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
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s
