Feature: Firewall rules between the networks
  Document 002 has a network for its nodes and one for its balancers, and iptables rules for who reaches which port. Every host
  tries each of these ports, and whoever is not named at a port is meant to get no answer there. The harness comes in by a rule of its
  own.

  # One DROP rule stands among the rules, for 6432. HAProxy's hosts reach PostgreSQL and etcd at every node.
  @documented @control:firewall
  Scenario: The rules as written
    Given the topology "documented-ha-firewall"
    And 4 clients writing 25 rows per second each
    When every host tries the ports of the firewall
    Then no host gets through to a port that no rule opens to it

  @documented @claim:NO-SPLIT-BRAIN
  Scenario: What no rule accepts is dropped, and the primary's host dies
    Given the topology "documented-ha-firewall-drop"
    And 4 clients writing 25 rows per second each
    When every host tries the ports of the firewall
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And every host tries the ports of the firewall
    Then no host gets through to a port that no rule opens to it
    And every host gets through to the ports that rules open to it
    And clients can't write for at most 45 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
