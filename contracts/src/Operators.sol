// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @notice Only an operator of the community may do this.
error NotAnOperator(address caller);
/// @notice A signed record was used already, or another one comes first.
error WrongNonce(uint64 nonce, uint64 expected);

/// @title Who runs a community, and what its members may change by vote
abstract contract Operators is EIP712 {
    struct Parameters {
        /// How many operators must sign what concerns everybody's money.
        uint8 threshold;
        /// Least share of the electorate that must vote, in percent.
        uint8 turnout;
        /// Seconds that a vote is open; as long must a member have been registered when it opens.
        uint40 votingTime;
        /// Seconds in which the account of a member objects to its replacement.
        uint40 recoveryTime;
        /// Number of operators.
        uint16 operators;
    }

    uint40 internal constant MIN_TIME = 1 days;
    uint40 internal constant MAX_TIME = 30 days;
    /// @dev How far ahead energy is agreed on: for so long an account or a meter counts on after its end, and so long before
    /// its first slot a charter has to stand.
    uint40 internal constant AGREED = 2 days;
    /// @dev How far ahead a charter can be adopted: one of a far future would be the last.
    uint40 internal constant MAX_AHEAD = 365 days;
    uint8 internal constant MIN_TURNOUT = 10;

    /// @notice Hash of the community's canonical configuration file, and the first slot for which it holds.
    struct Charter {
        bytes32 hash;
        /// Unix seconds.
        uint64 from;
    }

    /// @notice All that ever held or will, by rising `from`; the first one holds from the beginning.
    Charter[] public charters;

    /// @notice Whether an address is an operator.
    mapping(address account => bool) public isOperator;
    /// @notice What holds now.
    Parameters public parameters;

    event OperatorAppointed(address indexed operator);
    event OperatorRemoved(address indexed operator);
    event CharterAdopted(bytes32 indexed hash, uint64 from);
    event ParametersSet(uint8 threshold, uint8 turnout, uint40 votingTime, uint40 recoveryTime);

    /// @notice The threshold must lie between 1 and the number of operators.
    error InvalidThreshold(uint8 threshold, uint256 operators);
    /// @notice The zero address or an operator cannot become one, and somebody else cannot be removed.
    error InvalidOperator(address operator);
    /// @notice A charter holds from a time to come on, which nobody has agreed on energy for yet, within a year, later than
    /// the one adopted before it.
    error InvalidCharter(bytes32 hash, uint64 from);
    /// @notice Turnout is 10 to 100 percent, times are 1 to 30 days.
    error InvalidParameters(uint8 turnout, uint40 votingTime, uint40 recoveryTime);
    /// @notice Fewer signatures than the threshold.
    error TooFewSignatures(uint256 given, uint256 needed);
    /// @notice Signatures must ascend strictly by signer, so that nobody counts twice.
    error SignersNotAscending(address previous, address signer);
    /// @notice Somebody else's signature, or one over different content.
    error SignerNotAnOperator(address signer);

    modifier onlyOperator() {
        require(isOperator[msg.sender], NotAnOperator(msg.sender));
        _;
    }

    constructor(address[] memory operators, uint8 threshold_, bytes32 config_) EIP712("Commonwatt", "1") {
        Parameters memory initial = Parameters(threshold_, 50, 7 days, 7 days, 0);
        for (uint256 i = 0; i < operators.length; ++i) {
            _appoint(initial, operators[i]);
        }
        _set(initial);
        charters.push(Charter(config_, 0));
    }

    /// @notice How many operators must sign what concerns everybody's money.
    function threshold() public view returns (uint8) {
        return parameters.threshold;
    }

    /// @notice Hash of the configuration file that holds for a slot.
    /// @param slot unix seconds
    function charterAt(uint64 slot) external view returns (bytes32) {
        uint256 place = charters.length - 1;
        while (charters[place].from > slot) --place;
        return charters[place].hash;
    }

    /// @notice How many charters there are.
    function charterCount() external view returns (uint256) {
        return charters.length;
    }

    /// @notice Reverts unless at least `threshold` different operators signed the digest.
    /// @param digest what was signed (EIP-712)
    /// @param signatures 65 bytes each (r, s, v), ascending by the signers' addresses; all of them must be valid
    function requireQuorum(bytes32 digest, bytes[] calldata signatures) public view {
        uint8 needed = parameters.threshold;
        require(signatures.length >= needed, TooFewSignatures(signatures.length, needed));
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            require(signer > previous, SignersNotAscending(previous, signer));
            require(isOperator[signer], SignerNotAnOperator(signer));
            previous = signer;
        }
    }

    function _appoint(Parameters memory changed, address operator) internal {
        require(operator != address(0) && !isOperator[operator], InvalidOperator(operator));
        isOperator[operator] = true;
        changed.operators += 1;
        emit OperatorAppointed(operator);
    }

    function _remove(Parameters memory changed, address operator) internal {
        require(isOperator[operator], InvalidOperator(operator));
        isOperator[operator] = false;
        changed.operators -= 1;
        emit OperatorRemoved(operator);
    }

    function _set(Parameters memory changed) internal {
        (uint8 turnout, uint40 votingTime, uint40 recoveryTime) =
            (changed.turnout, changed.votingTime, changed.recoveryTime);
        bool possible = changed.threshold != 0 && changed.threshold <= changed.operators;
        require(possible, InvalidThreshold(changed.threshold, changed.operators));
        require(
            turnout >= MIN_TURNOUT && turnout <= 100 && _isTime(votingTime) && _isTime(recoveryTime),
            InvalidParameters(turnout, votingTime, recoveryTime)
        );
        parameters = changed;
        emit ParametersSet(changed.threshold, turnout, votingTime, recoveryTime);
    }

    function _adopt(bytes32 hash, uint64 from) internal {
        bool soon = from >= block.timestamp + AGREED && from <= block.timestamp + MAX_AHEAD;
        bool next = soon && from > charters[charters.length - 1].from;
        require(next, InvalidCharter(hash, from));
        charters.push(Charter(hash, from));
        emit CharterAdopted(hash, from);
    }

    function _isTime(uint40 time) private pure returns (bool) {
        return time >= MIN_TIME && time <= MAX_TIME;
    }
}
